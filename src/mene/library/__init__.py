"""Criteria, templates, judges, recipes and bases that come with mene, as YAML and Jinja to copy; ``load`` reads them."""
