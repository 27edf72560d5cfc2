"""Does a finished run give the same results when it is run again?"""
