"""The market database's keeper: its state, its soundness, and who may do what in it.

::

    status   version, kind, markets, rows, sizes, compression, bars' lag; changes nothing
    check    stored trades, marks, counts and bars against each other; repairs what follows
             from the trades
    roles    owner, importer, gateway, symdb: made, with the rights of each and no more
    psql     the command line of PostgreSQL's own client, without a password in it
"""
