"""RF impairments for isacsim: each stage has samples and a linear model of the same device."""
