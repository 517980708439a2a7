"""The LDPC code of 5G NR (3GPP TS 38.212 V17, clauses 5.1 to 5.4): base graphs, CRC, segmentation,
encoder, rate matching, decoder. Bits are uint8 0/1; LLR > 0 means bit 0.
"""
