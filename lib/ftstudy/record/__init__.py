"""Record the prompts that an app sends to its server, by standing between the two on this machine.

app_requests   what an app asks in one request, on the routes of OpenAI and Ollama
servers        which server it is, and the prompt that it makes of a request
matching       which row of the data a request is about
captures       the file of what was recorded, in the form that a captured profile reads
proxy          passes everything on, and records on the way
"""
