"""The JSON of the status endpoint as typed records, one module a noun.

The server encodes them, the description of the API is made of them, and the command line decodes them. A record says
what a field is once; where the daemon has such a record already, such as `Job`, it is that one. Importing them costs
next to nothing: neither the database nor the configuration comes with them.
"""
