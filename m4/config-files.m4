dnl Files made from their .in twin. One AC_CONFIG_FILES a line; folders append theirs here.
