"""Programs compiled to transformers by Tracr: models whose every weight has a known purpose."""
