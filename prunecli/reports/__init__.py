"""Views of one record: `run.json`, the model card, the HTML page, terminal tables."""
