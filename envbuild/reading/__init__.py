"""Reading what people write: YAML with places, schemas, grammars, recipes; and editing it."""
