"""What people look at: pages, figures, drawings, TensorBoard, notebooks."""
