"""The task ``pleura``: pleural fluid and free gas beside the lungs."""
