"""Engines that call a server over HTTP."""
