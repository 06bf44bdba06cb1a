"""Which contents go with which styles, and what their results are called."""
