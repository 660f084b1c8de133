//go:build !linux

package testenv

func detach(string) error { return nil }
