"""The arena: people vote, blind, on which of two judges is right. Battles, votes, what they say of judges, and the pages."""
