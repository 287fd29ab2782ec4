"""The same steps as Triton kernels; without Triton nothing here is imported."""
