"""Quality of a search: relevance, agreement with exact search, and the intervals of both."""
