"""Draw figures of one chapter alone: tables in, Plotly figures out, one module per chapter."""
