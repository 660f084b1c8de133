  config {
    host = image
    hosts = [docker]
  }
