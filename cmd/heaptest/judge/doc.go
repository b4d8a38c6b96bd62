// Package judge owns what the answers ought to be: the record of what real kernels answered, the closed list of deviations for each
// export, and the verdict on an answer. It knows rows by their IDs only.
package judge
