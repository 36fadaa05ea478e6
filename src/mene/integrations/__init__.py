"""mene inside the tools that people have: thin, on nothing but what ``import mene`` offers. One module per tool; none is
imported before it is used, and none sends anything anywhere that its user did not name."""
