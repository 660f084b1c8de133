//go:build !linux

package main

import (
	"context"
	"fmt"
)

func measureFloor(context.Context, int) ([]figure, error) {
	return nil, fmt.Errorf("%w: it takes Linux", errNoEngine)
}

func serveFloor(string) error { return errNoEngine }
