"""Parts of the package that work with other packages; each needs its own installed."""
