  config {
    limits = [{ name = "x" }]
  }
