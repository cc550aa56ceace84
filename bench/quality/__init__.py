"""Quality of a search: relevance, agreement with exact search, and how certain each figure is."""
