"""Where scans are found and where their results go: a folder for each scan, or a BIDS dataset."""
