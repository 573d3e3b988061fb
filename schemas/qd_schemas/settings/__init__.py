"""The settings of all parts, declared once: `table` has them, the rest reads and shows them.

::

    kinds     what a setting's text may be, and the value that it stands for
    choices   the closed sets that some settings choose from
    setting   one setting: names, kind, default, who gets it, whether it is a secret
    table     all settings
    file      the TOML file that QD_CONFIG names
    given     what the environment and the file give, one value at a time
    strays    variables that look like settings and are none
    parts     what several services are set to, as frozen values
    document  the table of settings and the example file, as text

The frozen dataclasses that services get are in `qd_schemas.specs`.
"""
