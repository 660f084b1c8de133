  config {
    hosts  = ["a", { b = 1 }]
    limits = [{ name = "x", n = 1 }, { name = "y", n = "many" }]
  }
