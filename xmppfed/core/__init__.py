"""The pure core: addresses, XML, streams, SASL. No I/O, no clock, no Twisted."""
