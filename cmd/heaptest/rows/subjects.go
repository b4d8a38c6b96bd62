package rows

// subjects are the makers of rows, each in a file of its own or beside its relatives.
var subjects = []func() []Row{
	openRows, nodeFileRows, nodeMapRows, nodePollRows, nodeFcntlRows, sysfsRows,
	lengthRows, argumentRows, modeRows, sizeRows, commandRows, pointerRows, limitRows, rawRows,
	seekRows, statRows, mapRows, remapRows, adviseRows, pageRows, ioRows, resizeRows, bufFcntlRows, reopenRows,
	pollRows, bufIoctlRows,
	syncFlagRows, syncPointerRows, nameRows,
	exportRows, importRows, syncFileRows, fileInfoRows, mergeRows,
	callerRows, lifeRows, foreignRows, protectedRows,
}
