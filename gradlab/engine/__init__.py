"""Through time: forward, backward and the one-step Jacobians between them, written once for every cell.

To be read in this order: trajectory, forward, operator, jacobian, adjoint, backward.
"""
