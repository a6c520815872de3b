"""What a stanza costs, beside other servers in the same run: `make bench`."""
