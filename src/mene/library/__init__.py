"""Criteria, templates, judges, recipes and bases that come with mene: YAML and Jinja to copy and edit; ``load`` reads them."""
