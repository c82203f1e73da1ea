"""report.html: imagery of bounded size, words, data and the page itself, made from an output folder alone."""
