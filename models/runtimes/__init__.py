"""Models of other libraries, with the methods and attributes that scikit-learn's have."""
