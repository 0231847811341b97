"""Figures that one chapter alone draws: tables in, Plotly figures out, one module per chapter."""
