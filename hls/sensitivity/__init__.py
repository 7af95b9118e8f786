"""How much the loss of a graph minds perturbations of its tensors: Hessian traces, eigenvalues, spectra, measures."""
