"""TF Serving's REST API without a transport: `requests` reads what a client asks, `signatures`
says under which names a model's methods go there, `answers` writes what it said, `metadata`
describes models. Texts of errors are TF Serving's where it has one for the case, but for the data
that it quotes.
"""
