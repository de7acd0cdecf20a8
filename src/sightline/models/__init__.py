"""Networks in plain torch.nn: the lecture's own, torchvision's and timm's."""
