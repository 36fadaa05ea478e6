"""All judges of a results folder side by side."""
