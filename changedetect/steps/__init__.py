"""One file (or package) per arrow of the line; siblings never import each other."""
