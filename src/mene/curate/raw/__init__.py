"""Raw public sets: files, rows, and what their labels answer."""
