// Package atomtest is the exam that every engine passes.
package atomtest
