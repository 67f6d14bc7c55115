// The datagrid registers itself; nothing of it is called.
export {};
