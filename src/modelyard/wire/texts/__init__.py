"""Which characters texts may have, which addresses are valid, and limits of JSON texts.

rules.py                   lines, notes, names and e-mail addresses
cleaning.py                texts of unknown origin as one printable line
invisible_characters.py    what makes different texts look equal
web_addresses.py           http addresses
strict_json.py             the size of JSON texts, and hooks that parse them strictly
typing_errors.py           which known text a misspelt one probably means
validation_messages.py     messages about values that are not valid
"""
