"""Products: imagery as its makers deliver it, one file per family; `registry.claim_products` finds them among files."""
