"""Which characters texts may have, and which addresses are valid.

rules.py                   lines, notes, names and e-mail addresses
invisible_characters.py    what makes different texts look equal
web_addresses.py           http addresses
"""
