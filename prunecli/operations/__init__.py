"""One recipe a verb, each readable as the algorithm: config in, result out."""
