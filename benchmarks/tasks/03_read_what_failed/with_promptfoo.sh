promptfoo view
