"""Through time: forward, backward and the one-step Jacobians between them, written once for every cell.

To be read in this order: steps, lengths and trajectory (what a loop goes by, what it records), forward (`unroll`),
linearize (E and D), operator (E + D W, both ways), frobenius, jacobian; scaled (numbers of any magnitude), adjoint (the
sweep), backward (`bptt`).
"""
