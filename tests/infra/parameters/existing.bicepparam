// In a hospital's own resource group, network, DNS zones and workspace.
using '../../../infra/main.bicep'

param environmentName = 'prod'
param location = 'westeurope'
param audience = 'api://11111111-2222-3333-4444-555555555555'
param existingResourceGroup = 'pacs'
param privateNetwork = true
param inboundPrivateEndpoint = true
param existingAppSubnetId = '/subscriptions/33333333-3333-3333-3333-333333333333/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/hospital/subnets/dicom'
param existingEndpointSubnetId = '/subscriptions/33333333-3333-3333-3333-333333333333/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/hospital/subnets/endpoints'
param existingDnsZonesGroupId = '/subscriptions/33333333-3333-3333-3333-333333333333/resourceGroups/dns'
param existingWorkspaceId = '/subscriptions/33333333-3333-3333-3333-333333333333/resourceGroups/logs/providers/Microsoft.OperationalInsights/workspaces/hospital'
param alertEmail = 'operator@example.org'
