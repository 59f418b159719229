"""Digital chests with exact truth, and lesions for real lungs."""
