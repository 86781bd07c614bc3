"""Data: where arrays come from, how labels are encoded, in which order batches are formed."""
